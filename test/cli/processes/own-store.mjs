/** A store of its own, which belongs to one process. */
import { McpServer } from '@modelcontextprotocol/server';
import { memory } from '../../../dist/index.js';

const store = { kind: 'mine', durable: false, open: (options) => memory().open(options) };

export default {
  factory: () => new McpServer({ name: 'own-store', version: '1.0.0' }),
  options: { store },
};
