import type { AuthorizationServer } from '../domain/oauth.ts'
import { defineProvider, type OAuthProvider } from '../domain/provider.ts'
import { CAPABILITIES } from './onedrive/backend.ts'
import { parseId } from './onedrive/ids.ts'
import { endsGrant, scopeName } from './onedrive/oauth.ts'
import { openGraph } from './onedrive/open.ts'

/** The endpoints of the service. */
export interface GraphEndpoints {
  /** The origin of Microsoft Graph. */
  readonly api: string
  /**
   * Hosts of upload and download URLs, which need no token: origins, and hosts over https (`*.sharepoint.com`).
   */
  readonly contentHosts: readonly string[]
  readonly server: AuthorizationServer
}

const MICROSOFT: GraphEndpoints = {
  api: 'https://graph.microsoft.com',
  contentHosts: [
    '*.sharepoint.com',
    'api.onedrive.com',
    '*.1drv.com',
    '*.1drv.ms',
    '*.microsoftpersonalcontent.com',
    '*.svc.ms'
  ],
  server: {
    issuer: 'https://login.microsoftonline.com/{tenant}/v2.0',
    authorizationEndpoint: 'https://login.microsoftonline.com/{tenant}/oauth2/v2.0/authorize',
    tokenEndpoint: 'https://login.microsoftonline.com/{tenant}/oauth2/v2.0/token'
  }
}

/** OneDrive of a Microsoft account, and the SharePoint sites that it can access. */
export function oneDrive({ api, contentHosts, server }: GraphEndpoints = MICROSOFT): OAuthProvider {
  return defineProvider({
    id: 'onedrive',
    label: 'OneDrive and SharePoint',
    capabilities: CAPABILITIES,
    checkFolderId: (id) => void parseId(id, 'FOLDER_NOT_FOUND'),
    connect: {
      type: 'oauth2',
      server,
      // Personal and organisational accounts; the registration must allow both.
      tenant: 'common',
      clientAuthentication: 'client_secret_post',
      scopes: ['offline_access', 'User.Read', 'Files.Read.All', 'Sites.Read.All'],
      authorizationParameters: { response_mode: 'query' },
      scopeName,
      endsGrant
    },
    open: async (context) => openGraph({ api, contentHosts }, context)
  })
}

export const provider: OAuthProvider = oneDrive()
