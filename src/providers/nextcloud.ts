import { randomUUID } from 'node:crypto'
import { defineProvider, type TypedProvider } from '../domain/provider.ts'
import type { Capabilities } from '../domain/storage-backend.ts'
import { DavBackend } from './dav/backend.ts'
import { checkFolderId } from './dav/paths.ts'
import { connect } from './nextcloud/connect.ts'
import { listPages } from './nextcloud/listing.ts'
import { fetchUser } from './nextcloud/ocs.ts'
import { openServer, uploadsOf } from './nextcloud/server.ts'
import { accountIdOf, readSettings } from './nextcloud/settings.ts'
import { uploadFile } from './nextcloud/upload.ts'
import { CutPages } from './shared/cut-pages.ts'
import { readStored } from './shared/stored-credentials.ts'

const pages = new CutPages()

function capabilitiesOf(paginates: boolean): Capabilities {
  return {
    paging: paginates ? 'native' : 'emulated',
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
}

/** The files of one user of a Nextcloud: its WebDAV, with what it tells beyond that. */
export const provider: TypedProvider = defineProvider({
  id: 'nextcloud',
  label: 'Nextcloud',
  capabilities: capabilitiesOf(false),
  connect,
  checkFolderId,
  async open({ credentials, egress, timeouts }) {
    const settings = readStored(credentials, readSettings)
    const owner = randomUUID()
    const uploads = uploadsOf(settings)
    return new DavBackend(openServer(settings, { egress, timeouts }), {
      provider: 'nextcloud',
      capabilities: capabilitiesOf(settings.paginates),
      list: (server, folderId, call) => listPages(pages, owner, server, folderId, call),
      upload: (server, target, source, call) => uploadFile(server, uploads, target, source, call),
      async account(_server, call) {
        const { uid, name, email, quota } = await fetchUser(settings, egress, call)
        return { id: accountIdOf({ ...settings, uid }), name, email, quota }
      }
    })
  }
})
