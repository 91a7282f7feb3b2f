import type { BoxCall } from './call.ts'
import type { FakeBoxDownloads } from './downloads.ts'
import type { FakeBoxKnobs } from './knobs.ts'
import type { FakeBoxPages } from './pages.ts'
import { FakeBoxSimpleUploads } from './simple-uploads.ts'
import { FakeBoxReads } from './reads.ts'
import type { BoxOperation } from './routes.ts'
import type { FakeBoxTree } from './tree.ts'
import type { FakeBoxUploads } from './uploads.ts'
import type { FakeBoxWrites } from './writes.ts'

export interface BoxState {
  readonly tree: FakeBoxTree
  readonly knobs: FakeBoxKnobs
  readonly pages: FakeBoxPages
  readonly writes: FakeBoxWrites
  readonly uploads: FakeBoxUploads
  readonly downloads: FakeBoxDownloads
  readonly uploadUrl: string
  readonly contentUrl: string
}

/** The operations that need a token. */
export type BoxCallOperation = Exclude<BoxOperation, 'content.get'>

/** The handler of each operation. */
export function boxHandlers(state: BoxState): Readonly<Record<BoxCallOperation, (call: BoxCall) => void>> {
  const { writes, uploads, downloads } = state
  const reads = new FakeBoxReads(state.tree, state.pages, state.knobs)
  const simpleUploads = new FakeBoxSimpleUploads(writes)
  return {
    'users.me': (call) => {
      reads.me(call)
    },
    'folders.get': (call) => {
      reads.item(call, 'folder')
    },
    'folders.items': (call) => {
      reads.items(call)
    },
    'folders.create': (call) => {
      writes.createFolder(call)
    },
    'folders.update': (call) => {
      writes.update(call, 'folder')
    },
    'folders.delete': (call) => {
      writes.delete(call, 'folder')
    },
    'files.get': (call) => {
      reads.item(call, 'file')
    },
    'files.update': (call) => {
      writes.update(call, 'file')
    },
    'files.delete': (call) => {
      writes.delete(call, 'file')
    },
    'files.download': (call) => {
      downloads.redirect(call, state.contentUrl)
    },
    'links.get': (call) => {
      reads.item(call, 'web_link')
    },
    'links.delete': (call) => {
      writes.delete(call, 'web_link')
    },
    'preflight.file': (call) => {
      simpleUploads.checkFile(call, state.uploadUrl)
    },
    'preflight.version': (call) => {
      simpleUploads.checkVersion(call, state.uploadUrl)
    },
    'upload.file': (call) => {
      simpleUploads.createFile(call)
    },
    'upload.version': (call) => {
      simpleUploads.createVersion(call)
    },
    'sessions.file': (call) => {
      uploads.createFileSession(call, state.uploadUrl)
    },
    'sessions.version': (call) => {
      uploads.createVersionSession(call, state.uploadUrl)
    },
    'sessions.get': (call) => {
      uploads.get(call)
    },
    'sessions.parts': (call) => {
      uploads.parts(call)
    },
    'sessions.part': (call) => {
      uploads.put(call)
    },
    'sessions.commit': (call) => {
      uploads.commit(call)
    },
    'sessions.abort': (call) => {
      uploads.abort(call)
    }
  }
}
