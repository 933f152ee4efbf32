"""The system of record in an SQL database: PostgreSQL, SQLite, MySQL or MariaDB."""
