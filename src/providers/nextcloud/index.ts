import type { Capabilities } from '../../core/backend.ts'
import { defineProvider, type TypedProvider } from '../../core/provider.ts'
import { DavBackend } from '../dav/index.ts'
import { createPageOwner, listCompleteFolder } from '../dav/list.ts'
import { checkFolderId } from '../dav/paths.ts'
import { getResource } from '../dav/session.ts'
import { readStoredCredentials } from '../shared/credentials.ts'
import { announcementsOf } from './announcements.ts'
import { fetchChanges, fetchPosition, isFolderCurrent } from './changes.ts'
import { connect } from './connect.ts'
import { fetchUser, openSession, uploadPathsOf } from './session.ts'
import { accountOf, readSettings } from './settings.ts'
import { uploadFile } from './upload.ts'

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
  downloadUrl: 'unsupported',
  // There is no feed. The ETags of folders take its place.
  changes: 'emulated'
}

/** The files of one Nextcloud user: WebDAV with Nextcloud's additional properties and API. */
export const provider: TypedProvider = defineProvider({
  id: 'nextcloud',
  label: 'Nextcloud',
  capabilities,
  connect,
  checkFolderId,
  async open({ credentials, egress, timeouts, userId }) {
    const settings = readStoredCredentials(credentials, readSettings)
    const owner = createPageOwner(userId)
    const uploads = uploadPathsOf(settings)
    const waitForChange = announcementsOf(settings, egress)
    return new DavBackend(openSession(settings, { egress, timeouts }), {
      provider: 'nextcloud',
      capabilities,
      list: (session, folderId, call) => listCompleteFolder(owner, session, folderId, call),
      upload: (session, target, source, call) => uploadFile(session, uploads, target, source, call),
      async account(session, call) {
        // OCS answers 401 for a disabled account too, as for a revoked password.
        await getResource(session, session.paths.base, call, 'FOLDER_NOT_FOUND')
        const { uid, name, email, quota } = await fetchUser(session.client, settings.base, call)
        return { id: accountOf({ ...settings, uid }).accountId, name, email, quota }
      },
      feed: { position: fetchPosition, changes: fetchChanges, isCurrent: isFolderCurrent, waitForChange }
    })
  }
})
