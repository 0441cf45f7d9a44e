"""Who somebody is, by name and password: the work of checkpassword(8).

`sources` asks those who know passwords: `passwords` (users/passwd), `shadow`
(the machine's own) and PAM. `guesses` remembers failures, so that guessing
takes its time, and `trial` puts both together. `session` becomes who has
logged in. `verifier` is for servers: it asks a program in the place of
checkpassword, or us in process; or the `keeper`, where the server may not
read passwords.
"""
