import { MCPServer, MCPTool } from 'mcp-framework';
import { z } from 'zod';

class Add extends MCPTool {
  name = 'add';
  description = 'adds';
  schema = z.object({ a: z.number().describe('a'), b: z.number().describe('b') });
  execute = async ({ a, b }) => String(a + b);
}
const framework = new MCPServer({ name: 'framework', version: '1.0.0' });
framework.addTool(Add);

// In place of framework.start():
await framework.ensureInitialized();
export default () => framework.createSDKServerForSession();
