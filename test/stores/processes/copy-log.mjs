/** Copies SQLite's log into the file all the time, so that kills of the process hit that too. */
export default async function copyLog(target) {
  const { default: Background } = await import('libsql/promise');
  const background = new Background(target, { timeout: 200 });
  for (;;) {
    for (const mode of ['PASSIVE', 'TRUNCATE'])
      await background.exec(`PRAGMA wal_checkpoint(${mode})`).catch(() => {});
  }
}
