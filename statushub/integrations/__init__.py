"""Task queues whose tasks report themselves: `celery`, `rq` and `taskiq`, each with the library that it is for; and
`video`, for workers that write the progress of videos into keys of a Redis."""
