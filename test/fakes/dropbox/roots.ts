import type { common } from 'dropbox'
import { DropboxFailure, DropboxMistake } from './failure.ts'
import type { FakeDropboxKnobs } from './knobs.ts'
import type { FakeDropboxNode } from './node.ts'
import { text, union } from './schema.ts'
import type { FakeDropboxTree } from './tree.ts'

const HEADER = 'HTTP header "Dropbox-API-Path-Root"'
const ID = text('[-_0-9a-zA-Z:]+')
const checkRoot = union(['home'], { root: ID, namespace_id: ID })

/** The base of paths: the user's own root, or another namespace if a header names it. */
export class FakeDropboxRoots {
  readonly #tree: FakeDropboxTree
  readonly #knobs: FakeDropboxKnobs

  constructor(tree: FakeDropboxTree, knobs: FakeDropboxKnobs) {
    this.#tree = tree
    this.#knobs = knobs
  }

  info(): common.TeamRootInfoReference | common.UserRootInfoReference {
    const { root, teamRoot } = this.#tree
    const home = root.namespaceId ?? ''
    const ids = { root_namespace_id: teamRoot?.namespaceId ?? home, home_namespace_id: home }
    const path = `/${root.name}`
    if (teamRoot === undefined) return { '.tag': 'user', ...ids }
    return { '.tag': this.#knobs.rootTag, ...ids, home_path: path }
  }

  /** Returns the folder that the header refers to. */
  base(header: string | undefined, operation: string): FakeDropboxNode {
    const { root, teamRoot } = this.#tree
    if (header === undefined) return root
    const pathRoot = parse(header, operation)
    switch (pathRoot['.tag']) {
      case 'root':
        if (pathRoot.root !== this.info().root_namespace_id) {
          throw rootFailure({ '.tag': 'invalid_root', invalid_root: this.info() })
        }
        return teamRoot ?? root
      case 'namespace_id': {
        const node = this.#tree.namespace(pathRoot.namespace_id)
        if (node === undefined) throw rootFailure({ '.tag': 'no_permission' })
        return node
      }
      case 'home':
      case 'other':
        return root
    }
  }
}

const rootFailure = (error: common.PathRootError) => new DropboxFailure({ status: 422, error })

function parse(header: string, operation: string): common.PathRoot {
  let value: unknown
  try {
    value = JSON.parse(header)
  } catch {
    throw new DropboxMistake(operation, `${HEADER}: could not decode input as JSON`)
  }
  const error = typeof value === 'object' ? checkRoot(value) : ': expected to be an object'
  if (error !== undefined) throw new DropboxMistake(operation, HEADER + error)
  return value as common.PathRoot
}
