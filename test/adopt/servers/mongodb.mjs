import { createServerFromConfig, createSharedServicesFromConfig } from '@mongodb-js/mcp-cli';
import { AllTools, packageInfo, UserConfigSchema } from 'mongodb-mcp-server';

const config = UserConfigSchema.parse({ telemetry: 'disabled' });
const sharedServices = await createSharedServicesFromConfig({ config, serverMetadata: packageInfo, tools: AllTools });
export default async () => {
  const server = createServerFromConfig({ config, sharedServices });
  await server.register();
  return server.mcpServer;
};
