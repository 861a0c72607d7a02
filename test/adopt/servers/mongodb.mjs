import {
  createKeychainFromConfig,
  createLoggerFromConfig,
  createServerFromConfig,
  createSharedServicesFromConfig,
  UserConfigSchema,
} from '@mongodb-js/mcp-cli';
import { AllTools, packageInfo } from 'mongodb-mcp-server';

const config = UserConfigSchema.parse({ telemetry: 'disabled', loggers: ['stderr'] });
const keychain = createKeychainFromConfig({ config });
const logger = await createLoggerFromConfig({ config, keychain });
const given = { config, keychain, logger, serverMetadata: packageInfo, tools: AllTools };
const sharedServices = await createSharedServicesFromConfig(given);

// In place of its runner:
export default async () => {
  const server = createServerFromConfig({ config, sharedServices });
  await server.register();
  return server.mcpServer;
};
