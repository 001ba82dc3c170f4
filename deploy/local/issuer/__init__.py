"""The local stack's identity provider: OpenID Connect with a page that picks a staff member.

It knows no passwords, so it binds loopback only and refuses to start anywhere else; in production
a real provider takes its place. `python -m deploy.local.issuer` serves,
`python -m deploy.local.issuer token` prints a bank system's token from the running issuer.
"""
