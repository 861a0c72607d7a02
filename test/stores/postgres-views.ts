/** Databases of tests, and direct connections to them. */
import pg from 'pg';
import { onTestFinished } from 'vitest';

export { announce, FENCE, ME, openView, recordOf, storeOptions } from './views.ts';

/** A connection of the test, closed when the test is over. */
export async function connect(url: string): Promise<pg.Client> {
  const client = new pg.Client(url);
  client.on('error', () => undefined);
  await client.connect();
  onTestFinished(() => client.end());
  return client;
}

let databases = 0;

/** A new database on a server that many tests share. */
export async function newDatabase(url: string, options = ''): Promise<string> {
  databases += 1;
  const name = `test_${process.pid}_${databases}`;
  const client = new pg.Client(url);
  await client.connect();
  await client.query(`CREATE DATABASE ${name} ${options}`);
  await client.end();
  return url.replace(/\/[^/]*$/, `/${name}`);
}
