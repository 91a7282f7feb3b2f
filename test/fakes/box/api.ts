import type { BoxCall } from './call.ts'
import type { FakeBoxDownloads } from './downloads.ts'
import type { FakeBoxKnobs } from './knobs.ts'
import type { FakePages } from '../pages.ts'
import { FakeBoxSimpleUploads } from './simple-uploads.ts'
import type { FakeBoxNode } from './node.ts'
import type { FakeBoxEvents } from './events.ts'
import { FakeBoxReads } from './reads.ts'
import type { BoxOperation } from './routes.ts'
import type { FakeBoxTree } from './tree.ts'
import type { FakeBoxUploads } from './uploads.ts'
import type { FakeBoxWrites } from './writes.ts'

export interface BoxState {
  readonly tree: FakeBoxTree
  readonly knobs: FakeBoxKnobs
  readonly pages: FakePages<FakeBoxNode>
  readonly events: FakeBoxEvents
  readonly writes: FakeBoxWrites
  readonly uploads: FakeBoxUploads
  readonly downloads: FakeBoxDownloads
  readonly uploadUrl: string
  readonly contentUrl: string
  readonly realtimeUrl: string
}

/** The operations that need a token. */
export type BoxCallOperation = Exclude<BoxOperation, 'content.get' | 'realtime.get'>

/** The handler of each operation. */
export function boxHandlers(state: BoxState): Readonly<Record<BoxCallOperation, (call: BoxCall) => void>> {
  const { writes, uploads, downloads } = state
  const reads = new FakeBoxReads(state.tree, state.pages, state.knobs)
  const simpleUploads = new FakeBoxSimpleUploads(writes)
  return {
    'users.me': reads.me.bind(reads),
    'events.get': (call) => {
      state.events.send(call)
    },
    'events.options': (call) => {
      state.events.sendServers(call, state.realtimeUrl)
    },
    'folders.get': (call) => {
      reads.item(call, 'folder')
    },
    'folders.items': reads.items.bind(reads),
    'folders.create': writes.createFolder.bind(writes),
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
    'upload.file': simpleUploads.createFile.bind(simpleUploads),
    'upload.version': simpleUploads.createVersion.bind(simpleUploads),
    'sessions.file': (call) => {
      uploads.createFileSession(call, state.uploadUrl)
    },
    'sessions.version': (call) => {
      uploads.createVersionSession(call, state.uploadUrl)
    },
    'sessions.get': uploads.get.bind(uploads),
    'sessions.parts': uploads.parts.bind(uploads),
    'sessions.part': uploads.put.bind(uploads),
    'sessions.commit': uploads.commit.bind(uploads),
    'sessions.abort': uploads.abort.bind(uploads)
  }
}
