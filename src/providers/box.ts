import type { AuthorizationServer } from '../domain/oauth.ts'
import { defineProvider, type OAuthProvider } from '../domain/provider.ts'
import { CAPABILITIES } from './box/backend.ts'
import { parseFolderId } from './box/ids.ts'
import { type BoxOrigins, openBox } from './box/open.ts'

/** The endpoints of the service. */
export interface BoxEndpoints extends BoxOrigins {
  readonly server: AuthorizationServer
}

const BOX: BoxEndpoints = {
  api: 'https://api.box.com',
  upload: 'https://upload.box.com',
  contentHosts: ['*.boxcloud.com', '*.box.com'],
  server: {
    issuer: 'https://account.box.com',
    authorizationEndpoint: 'https://account.box.com/api/oauth2/authorize',
    tokenEndpoint: 'https://api.box.com/oauth2/token',
    revocationEndpoint: 'https://api.box.com/oauth2/revoke'
  }
}

/** All files of a Box account. */
export function box(endpoints: BoxEndpoints = BOX): OAuthProvider {
  return defineProvider({
    id: 'box',
    label: 'Box',
    capabilities: CAPABILITIES,
    checkFolderId: (id) => void parseFolderId(id),
    connect: {
      type: 'oauth2',
      server: endpoints.server,
      clientAuthentication: 'client_secret_post',
      // Scopes are set in Box's developer console. Without a `scope` parameter, Box grants all of them.
      scopes: []
    },
    open: async (context) => openBox(endpoints, context)
  })
}

export const provider: OAuthProvider = box()
