/**
 * All SQL statements, by purpose. Parameters are numbered if one is used twice. Times are parameters, because SQLite's
 * own clock does not follow an injected one.
 */
const ROW = 'SELECT id, version, fence, wake, body, data FROM rows';

export const SQL = {
  // ——— schema ———
  anyTable: "SELECT 1 FROM sqlite_schema WHERE name NOT LIKE 'sqlite_%' LIMIT 1",

  // ——— rows ———
  row: `${ROW} WHERE space = ? AND id = ?`,
  insertRow: `INSERT INTO rows (space, id, version, fence, wake, data, share, stamp, bytes, body)
    VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
    ON CONFLICT DO NOTHING`,
  updateRow: `UPDATE rows SET version = ?, fence = ?, wake = ?, data = ?, share = ?, stamp = ?, bytes = ?,
    body = coalesce(?, body)
    WHERE space = ? AND id = ? AND version = ?`,
  deleteRow: 'DELETE FROM rows WHERE space = ? AND id = ? AND version = ?',
  listRows: `${ROW} WHERE space = ? AND id > ? AND id < ? AND fence IS NOT NULL ORDER BY id LIMIT ?`,
  countRows:
    'SELECT count(*) FROM rows WHERE space = ? AND id > ? AND id < ? AND fence IS NOT NULL',
  countShare: 'SELECT count(*) FROM rows WHERE space = ? AND share = ? AND stamp IS NOT NULL',
  oldestOfShare: `SELECT id FROM rows WHERE space = ? AND share = ? AND stamp IS NOT NULL
    ORDER BY stamp, id LIMIT ?`,
  endedOfShare: 'SELECT id FROM rows WHERE space = ? AND share = ? AND stamp IS NULL',
  dueRows: `${ROW} WHERE space = ?1 AND wake IS NOT NULL AND (wake, id) > (?2, ?3) AND wake <= ?4
    ORDER BY wake, id LIMIT ?5`,

  // ——— log ———
  openLog: `SELECT no, fence, (SELECT max(log.no) FROM log WHERE record = rows.no) FROM rows
    WHERE space = ? AND id = ?`,
  append: 'INSERT INTO log (record, no, stream, head, data, bytes) VALUES (?, ?, ?, ?, ?, ?)',
  cutLog: 'DELETE FROM log WHERE record = ? AND no <= ? RETURNING bytes',
  clearLog: `DELETE FROM log WHERE record = (SELECT no FROM rows WHERE space = ? AND id = ? AND version = ?)
    RETURNING bytes`,
  /** ?3 stream. */
  log: `SELECT no, stream, head, CASE WHEN stream = ?3 THEN data END FROM log
    WHERE record = (SELECT no FROM rows WHERE space = ?1 AND id = ?2) ORDER BY no`,

  // ——— what shares count ———
  addKept: `INSERT INTO kept (space, share, bytes) VALUES (?, ?, ?)
    ON CONFLICT DO UPDATE SET bytes = bytes + excluded.bytes`,
  dropKept: 'DELETE FROM kept WHERE space = ? AND share = ? AND bytes = 0',
  kept: 'SELECT bytes FROM kept WHERE space = ? AND share = ?',
  countKept: `SELECT coalesce(sum(bytes + coalesce((SELECT sum(bytes) FROM log WHERE record = rows.no), 0)), 0)
    FROM rows WHERE space = ? AND share = ?`,
  /** ?1 spaces as JSON. */
  keptByAll: `SELECT share, sum(bytes) AS bytes, sum(sum(bytes)) OVER () FROM kept
    WHERE space IN (SELECT value FROM json_each(?1)) GROUP BY share ORDER BY bytes DESC, share LIMIT ?2`,

  // ——— leases ———
  leaseClock: 'SELECT base, lease_ms FROM lease_clock WHERE space = ?',
  setLeaseClock: 'INSERT OR REPLACE INTO lease_clock (space, base, lease_ms) VALUES (?, ?, ?)',
  lastLease: 'SELECT max(wake) FROM rows WHERE fence IS NOT NULL AND space = ?',
} as const;
