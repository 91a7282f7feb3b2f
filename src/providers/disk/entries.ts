import type { BigIntStats } from 'node:fs'
import type { Entry } from '../../domain/entry.ts'
import { knownTime } from '../shared/iso-time.ts'
import { nameOf, parentOf } from '../shared/object-path.ts'

export function fileEntry(id: string, stats: BigIntStats, isUsable: boolean): Entry {
  return {
    ...common(id),
    kind: 'file',
    size: Number(stats.size),
    modifiedAt: modifiedAt(stats),
    version: versionOf(stats),
    can: { list: false, download: isUsable, write: isUsable }
  }
}

export function folderEntry(id: string, stats: BigIntStats, isUsable: boolean): Entry {
  return {
    ...common(id),
    kind: 'folder',
    size: null,
    modifiedAt: modifiedAt(stats),
    version: null,
    can: { list: isUsable, download: false, write: isUsable }
  }
}

/** Returns a version. Each upload creates a new file: one of the same size in a clock tick has another inode. */
export function versionOf({ mtimeNs, size, ino }: BigIntStats): string {
  return [mtimeNs, size, ino].map((part) => part.toString(36)).join('-')
}

/** Returns `null` for zero, which archives and build tools set if they do not know the time. */
export function modifiedAt(stats: BigIntStats): string | null {
  return knownTime(Number(stats.mtimeMs))
}

function common(id: string) {
  return {
    id,
    parentId: parentOf(id),
    driveId: null,
    name: nameOf(id),
    mimeType: null,
    createdAt: null,
    hash: null,
    exportFormats: [],
    target: null,
    webUrl: null,
    thumbnailUrl: null,
    path: id
  }
}
