"""The customer service: the single customer view.

Owns: parties and prospects, identifiers, holdings, managers of record (effective-dated),
    relations, contacts, service requests; merge and unmerge; the timeline; search; the intake of
    bank events for systems without Kafka.
Hears: `bank.customers`, `bank.events`, names of products, branches and districts and the sources of
    `bank.reference`, and all of our topics.
Says: `customer.events`: PartyRecorded, HoldingChanged, ManagerChanged, ContactRecorded,
    IdentityMerged, IdentityUnmerged, ServiceRequested.

Names are in clear in this schema only. Phones, documents, addresses and texts of contacts are
sealed under a key of their subject (rules.personal); no topic of ours carries any of them.
"""
