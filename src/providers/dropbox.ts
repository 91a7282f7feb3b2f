import type { AuthorizationServer } from '../domain/oauth.ts'
import { defineProvider, type OAuthProvider } from '../domain/provider.ts'
import { CAPABILITIES } from './dropbox/backend.ts'
import { parseId } from './dropbox/ids.ts'
import { type DropboxPlaces, openDropbox } from './dropbox/open.ts'
import { revokeToken } from './dropbox/revoke.ts'

/** The endpoints of the service, including those of the authorization server. */
export interface DropboxEndpoints extends DropboxPlaces {
  readonly server: AuthorizationServer
}

const DROPBOX: DropboxEndpoints = {
  api: 'https://api.dropboxapi.com',
  content: 'https://content.dropboxapi.com',
  linkHosts: ['*.dropboxusercontent.com', '*.dropbox.com'],
  server: {
    issuer: 'https://www.dropbox.com',
    authorizationEndpoint: 'https://www.dropbox.com/oauth2/authorize',
    tokenEndpoint: 'https://api.dropboxapi.com/oauth2/token'
  }
}

/** The Dropbox of a user, including the team space if the user's team has one. */
export function dropbox(endpoints: DropboxEndpoints = DROPBOX): OAuthProvider {
  return defineProvider({
    id: 'dropbox',
    label: 'Dropbox',
    capabilities: CAPABILITIES,
    checkFolderId: (id) => void parseId(id, 'FOLDER_NOT_FOUND'),
    connect: {
      type: 'oauth2',
      server: endpoints.server,
      clientAuthentication: 'client_secret_post',
      scopes: ['account_info.read', 'files.metadata.read', 'files.content.read'],
      // Required for a refresh token (Dropbox's "OAuth Guide").
      authorizationParameters: { token_access_type: 'offline' },
      revoke: (accessToken, context) => revokeToken(endpoints.api, accessToken, context)
    },
    open: async (context) => openDropbox(endpoints, context)
  })
}

export const provider: OAuthProvider = dropbox()
