"""A home is made, its users are added, and it is looked at and run as a whole.

`setup` makes a private home: `configuration` its first control files, `boot` its
scripts, `launchers` its programs. `ownership` says as whom all of this is
done. `mailboxes` adds users, with `domains` for those of virtual ones and `mail_owner` for whose
account their mail lies with; `checking` says what is wrong, and `running`
keeps the whole of it in the foreground.

`system_setup` makes a system home: its accounts are `family`, its owners and
modes `hierarchy`, what starts it `service_files`. `operation` starts and stops
it, `sendmail_links` and `spool` take over from another mail server, and
`removal` takes the programs away.
"""
