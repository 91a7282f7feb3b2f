import { invalid } from './failure.ts'
import type { FakeDriveNode } from './node.ts'
import type { FakeDriveTree } from './tree.ts'

type Predicate = (node: FakeDriveNode, tree: FakeDriveTree) => boolean

const TOKEN = /\s*('(?:[^'\\]|\\['\\])*'|[A-Za-z]+(?:\.[A-Za-z]+)?|!=|=|[()])/y

/** A parameter `q`. Supports only the forms that the backend uses, and rejects all others. */
export class DriveQuery {
  readonly matches: Predicate
  /** The folders in `in parents` terms. */
  readonly parents: string[] = []
  readonly #tokens: string[] = []

  constructor(text: string) {
    TOKEN.lastIndex = 0
    let parsedLength = 0
    for (let token = TOKEN.exec(text); token !== null; token = TOKEN.exec(text)) {
      this.#tokens.push(token[1] ?? '')
      parsedLength = TOKEN.lastIndex
    }
    if (text.slice(parsedLength).trim() !== '') throw invalid('q')
    this.matches = this.#expression()
    if (this.#tokens.length > 0) throw invalid('q')
  }

  // Left to right: `and` and `or` have the same precedence (Google's page "Search query terms and operators").
  #expression(): Predicate {
    let left = this.#term()
    for (;;) {
      const [previous, isAnd] = [left, this.#tokens[0] === 'and']
      if (!isAnd && this.#tokens[0] !== 'or') return left
      this.#tokens.shift()
      const right = this.#term()
      left = isAnd
        ? (node, tree) => previous(node, tree) && right(node, tree)
        : (node, tree) => previous(node, tree) || right(node, tree)
    }
  }

  #term(): Predicate {
    const token = this.#tokens.shift()
    if (token === 'not') {
      const inner = this.#term()
      return (node, tree) => !inner(node, tree)
    }
    if (token === '(') {
      const inner = this.#expression()
      this.#expect(')')
      return inner
    }
    if (token?.startsWith("'") === true) {
      this.#expect('in')
      this.#expect('parents')
      const id = unquote(token)
      this.parents.push(id)
      return (node, tree) => node.parent !== undefined && node.parent === tree.find(id)?.id
    }
    return this.#comparison(token)
  }

  #comparison(field: string | undefined): Predicate {
    switch (field ?? '') {
      case 'trashed': {
        const value = this.#boolean()
        return (node, tree) => tree.isTrashed(node) === value
      }
      case 'sharedWithMe':
        if (!this.#boolean()) throw invalid('q')
        return ({ flags }) => flags.sharedWithMe === true
      case 'mimeType': {
        const isNot = this.#tokens[0] === '!='
        if (isNot) this.#tokens[0] = '='
        const value = this.#string()
        return ({ mimeType }) => (mimeType === value) !== isNot
      }
      case 'name': {
        const value = this.#string()
        return ({ name }) => name === value
      }
      case 'shortcutDetails.targetMimeType': {
        const value = this.#string()
        return ({ shortcut }) => shortcut?.targetMimeType === value
      }
      default:
        throw invalid('q')
    }
  }

  #boolean(): boolean {
    this.#expect('=')
    const value = this.#tokens.shift()
    if (value !== 'true' && value !== 'false') throw invalid('q')
    return value === 'true'
  }

  #string(): string {
    this.#expect('=')
    const value = this.#tokens.shift()
    if (value?.startsWith("'") !== true) throw invalid('q')
    return unquote(value)
  }

  #expect(token: string): void {
    if (this.#tokens.shift() !== token) throw invalid('q')
  }
}

function unquote(literal: string): string {
  return literal.slice(1, -1).replaceAll(/\\(['\\])/g, '$1')
}
