// A worker whose first life in the second slot ends as soon as it listens. Every other life stays until it must drain.
// While there is a file `broken`, it ends before it listens. While there is a file `hang`, it renames it and never
// listens.
import { existsSync, renameSync, writeFileSync } from 'node:fs';

const [, , folder] = process.argv;
const [number] = process.env.SOJOURN_WORKER.split(' ');
const seen = `${folder}/${number}`;
const first = !existsSync(seen);
writeFileSync(seen, '');
if (existsSync(`${folder}/broken`)) process.exit(1);
process.on('message', () => process.exit(0));
const listened = () => first && number === '2' && process.exit(0);
if (existsSync(`${folder}/hang`)) renameSync(`${folder}/hang`, `${folder}/hangs`);
else process.send({ sojourn: 'listening' }, listened);
