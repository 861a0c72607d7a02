// A worker whose first life ends as soon as it listens: it says both in one write. Every later life stays until it must
// drain. While there is a file `broken`, it ends before it listens. While there is a file `hang`, it renames it and never
// listens.
import { existsSync, renameSync, writeFileSync, writeSync } from 'node:fs';
import { serialize } from 'node:v8';

/** Node's channel to the parent: after stdio and the socket. */
const CHANNEL_FD = 4;

const [, , folder] = process.argv;
const [number] = process.env.SOJOURN_WORKER.split(' ');
const seen = `${folder}/${number}`;
const first = !existsSync(seen);
writeFileSync(seen, '');
if (existsSync(`${folder}/broken`)) process.exit(1);
process.on('message', () => process.exit(0));
const reports = [{ sojourn: 'listening' }];
if (first && number === '2') reports.push({ sojourn: 'leaving' });
if (existsSync(`${folder}/hang`)) renameSync(`${folder}/hang`, `${folder}/hangs`);
else writeSync(CHANNEL_FD, Buffer.concat(reports.map(framed)));

/** Node's format of a message: its length, then the message. */
function framed(report) {
  const message = serialize(report);
  const length = Buffer.alloc(4);
  length.writeUInt32BE(message.length);
  return Buffer.concat([length, message]);
}
