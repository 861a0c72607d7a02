// @module-tag matrix
import { serverCrashTest } from './crashes.ts';

serverCrashTest('postgres', []);
