// @module-tag matrix
import { serverCrashTest } from './crashes.ts';

serverCrashTest('redis', ['--appendonly', 'yes', '--appendfsync', 'always']);
