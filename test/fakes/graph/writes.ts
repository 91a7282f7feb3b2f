import type { FakeGraphDrive } from './drive.ts'
import { GraphFailure, GraphMistake, invalidRequest, preconditionFailed } from './failure.ts'
import type { FakeGraphKnobs } from './knobs.ts'
import { unusedName } from './name.ts'
import { isFolder, type FakeGraphNode } from './node.ts'
import { checkIfMatch, matches } from './tags.ts'
import type { FakeGraphTree } from './tree.ts'
import type { GraphTarget } from './view.ts'

const BEHAVIORS = ['fail', 'replace', 'rename'] as const

/** The behaviour if a name is taken. */
export type ConflictBehavior = (typeof BEHAVIORS)[number]

/** Preconditions of a write, as tags. */
export interface GraphConditions {
  readonly ifMatch: string | undefined
  readonly ifNoneMatch: string | undefined
}

export interface SaveRequest extends GraphConditions {
  /** Undefined if the file is given by its ID. */
  readonly target: GraphTarget | undefined
  readonly file: FakeGraphNode | undefined
  readonly behavior: ConflictBehavior
}

/** Changes of the tree, with the rules that Graph checks. */
export class FakeGraphWrites {
  readonly #tree: FakeGraphTree
  readonly #knobs: FakeGraphKnobs

  constructor(tree: FakeGraphTree, knobs: FakeGraphKnobs) {
    this.#tree = tree
    this.#knobs = knobs
  }

  /** Makes all checks that do not need the content; `bytes` is its length if known. */
  check(request: SaveRequest, bytes: number | undefined): void {
    const { kind } = this.#tree
    const existing = this.#existing(request)
    checkIfMatch(request.ifMatch, existing, kind)
    if (request.ifNoneMatch !== undefined && matches(request.ifNoneMatch, existing, kind)) {
      throw preconditionFailed(kind)
    }
    const isTaken = existing !== undefined && (request.behavior === 'fail' || existing.content === undefined)
    if (isTaken && request.behavior !== 'rename') throw new GraphFailure({ code: 'nameAlreadyExists' })
    const drive = request.target?.drive ?? this.#tree.driveOf(request.file ?? this.#tree.root)
    const existingBytes = request.behavior === 'rename' ? 0 : (existing?.content?.length ?? 0)
    if (bytes !== undefined) this.#checkQuota(drive, bytes - existingBytes)
  }

  /** Returns the file, and whether it is new. */
  save(request: SaveRequest, content: Buffer): { node: FakeGraphNode; isNew: boolean } {
    this.check(request, content.length)
    const existing = this.#existing(request)
    if (existing !== undefined && request.behavior !== 'rename') {
      this.#tree.write(existing, content)
      return { node: existing, isNew: false }
    }
    if (request.target === undefined) throw new GraphMistake('another name for a file that is known by its id')
    const { folder, name } = request.target
    return {
      node: this.#tree.addFile({ parent: folder, name: this.#unusedNameFor(request.target, name), content }),
      isNew: true
    }
  }

  createFolder(target: GraphTarget, behavior: ConflictBehavior): FakeGraphNode {
    if (behavior === 'replace') throw new GraphMistake('a folder that replaces another')
    const isTaken = target.drive.childNamed(target.folder, target.name) !== undefined
    if (isTaken && behavior === 'fail') throw new GraphFailure({ code: 'nameAlreadyExists' })
    return this.#tree.addFolder({ parent: target.folder, name: this.#unusedNameFor(target, target.name) })
  }

  delete(node: FakeGraphNode, ifMatch: string | undefined): void {
    checkIfMatch(ifMatch, node, this.#tree.kind)
    if (node.isRoot) throw invalidRequest('The root of a drive cannot be deleted.')
    this.#tree.recycle(node)
  }

  /** Looks up the current state, which may change between the start and the end of a session. */
  #existing({ target, file }: SaveRequest): FakeGraphNode | undefined {
    if (target !== undefined) return target.drive.childNamed(target.folder, target.name)
    if (file === undefined || this.#tree.find(file.id, file.driveId) !== file) {
      throw new GraphFailure({ code: 'itemNotFound' })
    }
    return file
  }

  #unusedNameFor({ drive, folder }: GraphTarget, name: string): string {
    const isTaken = (candidate: string) => drive.childNamed(folder, candidate) !== undefined
    return isTaken(name) ? unusedName(name, isTaken) : name
  }

  #checkQuota(drive: FakeGraphDrive, addedBytes: number): void {
    const { quotaBytes = Infinity } = this.#knobs
    if (addedBytes > 0 && drive.sizeOf(drive.root) + addedBytes > quotaBytes)
      throw new GraphFailure({ code: 'quotaLimitReached' })
  }
}

export function parseBehavior(value: unknown, defaultBehavior: ConflictBehavior): ConflictBehavior {
  const behavior = BEHAVIORS.find((candidate) => candidate === (value ?? defaultBehavior))
  if (behavior === undefined) throw new GraphMistake(`a conflictBehavior that there is not: ${JSON.stringify(value)}`)
  return behavior
}

/** Rejects a parent that is not a folder. */
export function checkFolder(folder: FakeGraphNode): void {
  if (!isFolder(folder)) throw invalidRequest('The parent is no folder.')
}
