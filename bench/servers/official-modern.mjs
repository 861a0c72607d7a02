import { toNodeHandler } from '@modelcontextprotocol/node';
import { createMcpHandler } from '@modelcontextprotocol/server';
import { buildEchoServer } from './echo-server.mjs';
import { serve } from './serve.mjs';

serve(toNodeHandler(createMcpHandler(buildEchoServer)));
