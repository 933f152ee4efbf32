-- name: migration
-- What Statushub reads and writes in $table. On a large table in use, create the indexes first, without a lock:
-- $lockless
ALTER TABLE $table ADD COLUMN $new_column$status VARCHAR(32) NOT NULL DEFAULT 'idle';
ALTER TABLE $table ADD COLUMN $new_column$processing_status VARCHAR(32) NOT NULL DEFAULT 'uploading';
UPDATE $table SET $status = 'complete', $processing_status = 'completed'
WHERE $status = 'idle' AND $processing_status = 'uploading' AND $ai_gen_metadata IS NOT NULL
  AND CAST($ai_gen_metadata AS $text) NOT IN ('', '{}', '[]', 'null', '""');
CREATE INDEX $new_index$idx_channel_status ON $table ($inside, $status, $processing_status);
CREATE INDEX $new_index$idx_processing_status ON $table ($processing_status);
CREATE INDEX $new_index$idx_updated_at ON $table ($inside, $updated_at, $id);

-- name: reversal
DROP INDEX $schema$idx_updated_at$on_table;
DROP INDEX $schema$idx_processing_status$on_table;
DROP INDEX $schema$idx_channel_status$on_table;
ALTER TABLE $table DROP COLUMN $processing_status;
ALTER TABLE $table DROP COLUMN $status;
