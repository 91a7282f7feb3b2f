import { randomUUID } from 'node:crypto'
import { defineProvider, type TypedProvider } from '../domain/provider.ts'
import type { Account, Call, Capabilities } from '../domain/storage-backend.ts'
import { DavBackend } from './dav/backend.ts'
import { checkFolderId } from './dav/paths.ts'
import { propfindBody, readCount } from './dav/properties.ts'
import { type DavServer, look } from './dav/server.ts'
import { listWhole } from './dav/whole-listing.ts'
import { CutPages } from './shared/cut-pages.ts'
import { failure } from './shared/http-failure.ts'
import { readStored } from './shared/stored-credentials.ts'
import { connect } from './webdav/connect.ts'
import { openServer } from './webdav/server.ts'
import { accountIdOf, labelOf, readSettings, type WebdavSettings } from './webdav/settings.ts'

const pages = new CutPages()

/** Also of weak ETags there is no precondition that a server may accept (RFC 9110, 13.1.1): we look before we write. */
function capabilitiesOf({
  checksPreconditions,
  versions
}: Pick<WebdavSettings, 'checksPreconditions' | 'versions'>): Capabilities {
  const preconditions = checksPreconditions ? 'native' : 'emulated'
  const updates = { strong: preconditions, weak: 'emulated', none: 'unsupported' } as const
  return {
    paging: 'emulated',
    kindFilter: 'emulated',
    rangeDownload: 'native',
    upload: 'native',
    createOnly: preconditions,
    updateIfMatch: updates[versions],
    atomicReplace: 'unsupported',
    remove: 'native',
    createFolder: 'native',
    downloadUrl: 'unsupported'
  }
}

/** Folders on any server that speaks WebDAV (RFC 4918). */
export const provider: TypedProvider = defineProvider({
  id: 'webdav',
  label: 'WebDAV',
  capabilities: capabilitiesOf({ checksPreconditions: false, versions: 'strong' }),
  connect,
  checkFolderId,
  async open({ credentials, egress, timeouts }) {
    const settings = readStored(credentials, readSettings)
    const owner = randomUUID()
    return new DavBackend(openServer(settings, { egress, timeouts }), {
      provider: 'webdav',
      capabilities: capabilitiesOf(settings),
      list: (server, folderId, call) => listWhole(pages, owner, server, folderId, call),
      account: (server, call) => account(settings, server, call)
    })
  }
})

/** Quotas are those of RFC 4331, where the server has them; negative ones mean "unknown" and "unlimited". */
async function account(settings: WebdavSettings, server: DavServer, call: Call): Promise<Account> {
  const propfind = propfindBody('<d:quota-available-bytes/><d:quota-used-bytes/>')
  const { resource, facts } = await look({ ...server, propfind }, server.paths.base, call, 'FOLDER_NOT_FOUND')
  if (!facts.isCollection) throw failure('FOLDER_NOT_FOUND')
  const used = readCount(resource.properties['quota-used-bytes'])
  const available = readCount(resource.properties['quota-available-bytes'])
  return {
    id: accountIdOf(settings),
    name: labelOf(settings),
    email: null,
    quota: used === null ? null : { used, total: available === null ? null : used + available }
  }
}
