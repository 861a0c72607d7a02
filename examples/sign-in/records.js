/** What `oidc-provider` keeps (clients, grants, sessions, tokens), in a table of SQLite. */
const seconds = () => Math.floor(Date.now() / 1_000);

export function adapterOf(database) {
  database.exec(`
    CREATE TABLE IF NOT EXISTS records (
      kind TEXT, id TEXT, value TEXT, expires INTEGER, grant_id TEXT, uid TEXT, PRIMARY KEY (kind, id));
    CREATE INDEX IF NOT EXISTS records_by_grant ON records (grant_id);
    CREATE INDEX IF NOT EXISTS records_by_uid ON records (uid);
  `);
  const run = (sql, ...values) => database.prepare(sql).run(...values);
  const found = (where, ...values) => {
    const row = database
      .prepare(`SELECT value FROM records WHERE kind = ? AND ${where} AND expires > ?`)
      .get(...values, seconds());
    return row && JSON.parse(row.value);
  };

  return class Records {
    constructor(kind) {
      this.kind = kind;
    }

    async upsert(id, value, expiresIn = 10 * 365 * 86_400) {
      run('DELETE FROM records WHERE expires <= ?', seconds());
      const { grantId = null, uid = null } = value;
      const columns = [this.kind, id, JSON.stringify(value), seconds() + expiresIn, grantId, uid];
      run('INSERT OR REPLACE INTO records VALUES (?, ?, ?, ?, ?, ?)', ...columns);
    }

    async find(id) {
      return found('id = ?', this.kind, id);
    }

    async findByUid(uid) {
      return found('uid = ?', this.kind, uid);
    }

    async consume(id) {
      run(
        `UPDATE records SET value = json_set(value, '$.consumed', ?) WHERE kind = ? AND id = ?`,
        seconds(),
        this.kind,
        id,
      );
    }

    async destroy(id) {
      run('DELETE FROM records WHERE kind = ? AND id = ?', this.kind, id);
    }

    async revokeByGrantId(grantId) {
      run('DELETE FROM records WHERE kind = ? AND grant_id = ?', this.kind, grantId);
    }
  };
}
