"""The sync of Instagram accounts: what the Graph API says of them, in tables of a database.

An execution is a job of the runner, whose items are users, each with four steps: profile, media, comments, insights.
"""
