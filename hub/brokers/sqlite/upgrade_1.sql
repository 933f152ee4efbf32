-- Takes over the tables of layout 1, which had neither phases nor runs, after those of this layout were created.

INSERT INTO contents (
    tenant, content_id, channel, attempt, run, runs, began, seq, seq_offset, phase, offset, type, data, deadline, ends
) SELECT tenant, content_id, channel, attempt, NULL, '', 0, seq, given,
    CASE WHEN NOT closed THEN 'processing' WHEN type = 'processing_error' THEN 'failed' ELSE 'completed' END,
    offset, type, data, deadline, vanishes FROM content;

-- When the latest event came is not known: it is the time of this.
INSERT INTO channels (
    tenant, channel, offset, tombstones, floor, updated, pending, processing, completed, failed, idle
) SELECT tenant, channel, max(offset), 0, 0, (julianday('now') - 2440587.5) * 86400, 0,
    count(*) FILTER (WHERE phase = 'processing'), count(*) FILTER (WHERE phase = 'completed'),
    count(*) FILTER (WHERE phase = 'failed'), 0
FROM contents GROUP BY tenant, channel;

INSERT INTO clocks (tenant, epoch, offset, now, contents, bytes, floor)
    SELECT tenant, epoch, offset, 0,
        (SELECT count(*) FROM content WHERE content.tenant = clock.tenant),
        (SELECT coalesce(sum(length(data)), 0) FROM content WHERE content.tenant = clock.tenant), 0
    FROM clock;

UPDATE life SET swept = (SELECT swept FROM sweep);

DROP TABLE content;

DROP TABLE clock;

DROP TABLE sweep;
