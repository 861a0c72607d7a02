/** Before a program (`--import`): `HOST_NAME` is the name of its host, so that two hosts run on one machine. */
import { syncBuiltinESMExports } from 'node:module';
import os from 'node:os';

const { HOST_NAME: name } = process.env;
os.hostname = () => name;
syncBuiltinESMExports();
