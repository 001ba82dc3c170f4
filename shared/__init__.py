"""The library of the five services: delivery, events, authority, pages. No business words here."""
