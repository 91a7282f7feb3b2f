import type { BigIntStats } from 'node:fs'
import type { Entry } from '../../core/entry.ts'
import { formatTime, pathMetadata } from '../shared/entries.ts'

export function fileEntry(id: string, stats: BigIntStats, isUsable: boolean): Entry {
  return {
    ...pathMetadata(id, 'file'),
    size: Number(stats.size),
    modifiedAt: modifiedAt(stats),
    version: versionOf(stats),
    can: { list: false, download: isUsable, write: isUsable }
  }
}

export function folderEntry(id: string, stats: BigIntStats, isUsable: boolean): Entry {
  return {
    ...pathMetadata(id, 'folder'),
    modifiedAt: modifiedAt(stats),
    can: { list: isUsable, download: false, write: isUsable }
  }
}

/** Returns a version. Each upload creates a new file: one of the same size in a clock tick has another inode. */
export function versionOf({ mtimeNs, size, ino }: BigIntStats): string {
  return [mtimeNs, size, ino].map((part) => part.toString(36)).join('-')
}

/** Returns `null` for zero, which archives and build tools set if they do not know the time. */
export function modifiedAt(stats: BigIntStats): string | null {
  return formatTime(Number(stats.mtimeMs))
}
