import { FAKE_CLIENT_ID, FAKE_CLIENT_SECRET } from './fake-oauth-rules.ts'
import { oauthCloudProvider } from './oauth-cloud.ts'

export const LISTING = '/cloud/cloud/listing'

/** How the provider `cloud` is enabled, here and in other processes. */
export function cloudOptions(issuer: string, cloudOrigin: string) {
  return {
    publicUrl: 'http://127.0.0.1:3000',
    providers: {
      cloud: {
        provider: oauthCloudProvider(issuer, cloudOrigin),
        allowHosts: ['127.0.0.1'],
        clientId: FAKE_CLIENT_ID,
        clientSecret: FAKE_CLIENT_SECRET
      }
    }
  }
}
