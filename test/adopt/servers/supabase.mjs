import { createSupabaseMcpServer } from '@supabase/mcp-server-supabase';
import { createSupabaseApiPlatform } from '@supabase/mcp-server-supabase/platform/api';

const platform = createSupabaseApiPlatform({ accessToken: 'none', apiUrl: 'http://127.0.0.1:9' });
export default () => createSupabaseMcpServer({ platform, features: ['account', 'database'] });
