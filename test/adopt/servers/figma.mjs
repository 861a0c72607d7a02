import { createServer } from 'figma-developer-mcp/dist/mcp-server.js';

const auth = { figmaApiKey: 'none', figmaOAuthToken: '', useOAuth: false };
export default () =>
  createServer(auth, { transport: 'http', outputFormat: 'yaml', imageDir: process.cwd() });
