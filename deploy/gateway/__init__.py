"""One origin for browsers: sign-in, a session cookie outside, bearer tokens inside.

- Sessions live in Redis and only there: if it is wiped, people sign in again, nothing else is lost.
- A request with a cookie and an unsafe method needs our own Origin (without one: Sec-Fetch-Site
  same-origin) and the session's token in X-CSRF-Token. Our pages read that token from the
  readable cookie guanxi_csrf; the server compares with the session, not with the cookie.
- A request with its own Authorization passes and its cookies are dropped.
- A session ends with its token.
"""
