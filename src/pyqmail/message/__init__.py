"""What mail is: addresses, envelopes, header fields, dates, trace fields, bounces.

Values and rules only: no input or output, no clock, no environment. Read
`address`, `envelope`, `header`, then `tokens` and `rewriting` (which go
together), then `date` and `trace`. Bounces are `report`, then `delivery_status`,
`content` and `multipart_report`; `notice` is for what has not failed.
"""
