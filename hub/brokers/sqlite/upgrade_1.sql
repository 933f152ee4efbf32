-- Takes over the tables of layout 1, which had neither phases nor runs, after those of this layout were created.

INSERT INTO contents (
    tenant, content_id, channel, attempt, run, runs, began, seq, seq_offset, phase, offset, type, data, deadline, ends
) SELECT tenant, content_id, channel, attempt, NULL, '', 0, seq, given,
    CASE WHEN NOT closed THEN 'processing' WHEN type = 'processing_error' THEN 'failed' ELSE 'completed' END,
    offset, type, data, deadline, vanishes FROM content;

INSERT INTO channels (tenant, channel, offset, contents, tombstones, floor)
    SELECT tenant, channel, max(offset), count(*), 0, 0 FROM content GROUP BY tenant, channel;

INSERT INTO clocks (tenant, epoch, offset, now, contents, bytes, floor)
    SELECT tenant, epoch, offset, 0,
        (SELECT count(*) FROM content WHERE content.tenant = clock.tenant),
        (SELECT coalesce(sum(length(data)), 0) FROM content WHERE content.tenant = clock.tenant), 0
    FROM clock;

UPDATE life SET swept = (SELECT swept FROM sweep);

DROP TABLE content;

DROP TABLE clock;

DROP TABLE sweep;
