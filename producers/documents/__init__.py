"""Document counts: how many documents have a keyword, for many keywords, as a job.

`Counter` is what counts: a folder of documents (`folder`), an HTTP search API (`search_api`) or a function of the
program's own (`plugin`). `Lookups` keeps what was counted, and `job` makes the job of all of it.
"""
