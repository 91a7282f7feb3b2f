import { defineProvider, type TypedProvider } from '../../core/provider.ts'
import type { Capabilities } from '../../core/backend.ts'
import { DavBackend } from '../dav/backend.ts'
import { checkFolderId } from '../dav/paths.ts'
import { look } from '../dav/session.ts'
import { listWhole, pageOwner } from '../dav/list.ts'
import { connect } from './connect.ts'
import { fetchUser } from './login-flow.ts'
import { openServer, uploadsOf } from './session.ts'
import { accountIdOf, readSettings } from './settings.ts'
import { uploadFile } from './upload.ts'
import { cutPages } from '../shared/paging.ts'
import { readStored } from '../shared/credentials.ts'

const capabilities: Capabilities = {
  // Nextcloud's pages (X-NC-Paginate) are lost without a memory cache, and cost as much as the whole folder.
  paging: 'emulated',
  kindFilter: 'emulated',
  rangeDownload: 'native',
  upload: 'native',
  createOnly: 'native',
  updateIfMatch: 'native',
  atomicReplace: 'native',
  remove: 'native',
  createFolder: 'native',
  downloadUrl: 'unsupported'
}

/** The files of one Nextcloud user: WebDAV with Nextcloud's additional properties and API. */
export const provider: TypedProvider = defineProvider({
  id: 'nextcloud',
  label: 'Nextcloud',
  capabilities,
  connect,
  checkFolderId,
  async open({ credentials, egress, timeouts, userId }) {
    const settings = readStored(credentials, readSettings)
    const owner = pageOwner(userId)
    const uploads = uploadsOf(settings)
    return new DavBackend(openServer(settings, { egress, timeouts }), {
      provider: 'nextcloud',
      capabilities,
      list: (server, folderId, call) => listWhole(cutPages, owner, server, folderId, call),
      upload: (server, target, source, call) => uploadFile(server, uploads, target, source, call),
      async account(server, call) {
        // OCS answers 401 for a disabled account too, as for a revoked password.
        await look(server, server.paths.base, call, 'FOLDER_NOT_FOUND')
        const { uid, name, email, quota } = await fetchUser(settings, egress, call)
        return { id: accountIdOf({ ...settings, uid }), name, email, quota }
      }
    })
  }
})
