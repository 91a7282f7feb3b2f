import type { AuthorizationServer } from '../domain/oauth.ts'
import { defineProvider, type OAuthProvider } from '../domain/provider.ts'
import { CAPABILITIES } from './google-drive/backend.ts'
import { parseId } from './google-drive/ids.ts'
import { openDrive } from './google-drive/open.ts'

/** The endpoints of the service. */
export interface DriveEndpoints {
  /** The origin of the API, including uploads. */
  readonly api: string
  /** Origins besides the API's that serve rendered videos. They receive the user's access token. */
  readonly contentOrigins?: readonly string[]
  /** Hosts that serve rendered videos without an access token, in the format of `pinnedUrl`. */
  readonly contentHosts?: readonly string[]
  readonly server: AuthorizationServer
}

const GOOGLE: DriveEndpoints = {
  api: 'https://www.googleapis.com',
  // Google documents that the download URL needs authorization, but not its host.
  contentOrigins: ['https://drive.usercontent.google.com', 'https://docs.google.com'],
  contentHosts: ['*.usercontent.google.com', '*.googleusercontent.com'],
  server: {
    issuer: 'https://accounts.google.com',
    authorizationEndpoint: 'https://accounts.google.com/o/oauth2/v2/auth',
    tokenEndpoint: 'https://oauth2.googleapis.com/token',
    revocationEndpoint: 'https://oauth2.googleapis.com/revoke'
  }
}

/** My Drive of a Google account, and the shared drives of which the account is a member. */
export function googleDrive(endpoints: DriveEndpoints = GOOGLE): OAuthProvider {
  return defineProvider({
    id: 'google_drive',
    label: 'Google Drive',
    capabilities: CAPABILITIES,
    checkFolderId: (id) => void parseId(id, 'FOLDER_NOT_FOUND'),
    connect: {
      type: 'oauth2',
      server: endpoints.server,
      clientAuthentication: 'client_secret_post',
      scopes: ['https://www.googleapis.com/auth/drive.readonly'],
      // Google issues a refresh token at the first consent only, unless the prompt is forced.
      authorizationParameters: { access_type: 'offline', prompt: 'consent' }
    },
    open: (context) => openDrive(endpoints, context)
  })
}

export const provider: OAuthProvider = googleDrive()
