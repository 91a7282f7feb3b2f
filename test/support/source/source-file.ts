import { posix } from 'node:path'
import ts from 'typescript'

/** A file of `src`, with its path relative to `src`, with forward slashes. */
export interface SourceText {
  readonly path: string
  readonly source: string
}

/**
 * The kind of an import. A static import or re-export loads the module at once, `import()` and `require()` when
 * called, a type-only import never. (`import { type A }` loads it: only `import type` is erased.)
 */
export type ImportKind = 'static' | 'dynamic' | 'type'

export interface Import {
  readonly kind: ImportKind
  /** `null` if it is computed. */
  readonly specifier: string | null
  /** The path relative to `src` of a relative specifier; `../…` if it is outside. */
  readonly target: string | null
  readonly line: number
}

/** A property access on a known name: `process.env`, `Date['now']`, `const { env } = process`. */
export interface Member {
  readonly name: string
  readonly line: number
}

/** `CODE: 404` in an object, or `['CODE', 404]`. */
export interface NumberByName {
  readonly name: string
  readonly value: number
  readonly line: number
}

export interface ParsedSource {
  readonly path: string
  readonly lines: number
  readonly imports: readonly Import[]
  readonly members: readonly Member[]
  readonly numbers: readonly NumberByName[]
}

/** Extracts from the syntax tree the facts that the rules need. */
export function parseSource({ path, source }: SourceText): ParsedSource {
  const imports: Import[] = []
  const members: Member[] = []
  const numbers: NumberByName[] = []
  const file = ts.createSourceFile(path, source, ts.ScriptTarget.Latest, true, ts.ScriptKind.TS)

  function visit(node: ts.Node): void {
    const line = file.getLineAndCharacterOfPosition(node.getStart(file)).line + 1
    const foundImport = importOf(node)
    if (foundImport !== null) imports.push({ ...foundImport, target: targetOf(path, foundImport.specifier), line })
    for (const name of membersOf(node)) members.push({ name, line })
    const number = numberOf(node)
    if (number !== null) numbers.push({ ...number, line })
    ts.forEachChild(node, visit)
  }

  visit(file)
  const lines = source.split('\n').length - (source.endsWith('\n') ? 1 : 0)
  return { path, lines, imports, members, numbers }
}

function targetOf(path: string, specifier: string | null): string | null {
  return specifier?.startsWith('.') ? posix.join(posix.dirname(path), specifier) : null
}

function importOf(node: ts.Node): { kind: ImportKind; specifier: string | null } | null {
  if (ts.isImportDeclaration(node)) {
    const isType = node.importClause?.phaseModifier === ts.SyntaxKind.TypeKeyword
    return { kind: isType ? 'type' : 'static', specifier: literal(node.moduleSpecifier) }
  }
  if (ts.isExportDeclaration(node) && node.moduleSpecifier !== undefined) {
    return { kind: node.isTypeOnly ? 'type' : 'static', specifier: literal(node.moduleSpecifier) }
  }
  if (ts.isImportTypeNode(node)) {
    return { kind: 'type', specifier: ts.isLiteralTypeNode(node.argument) ? literal(node.argument.literal) : null }
  }
  if (ts.isExternalModuleReference(node)) return { kind: 'static', specifier: literal(node.expression) }
  if (ts.isCallExpression(node) && isLoader(node.expression)) {
    return { kind: 'dynamic', specifier: literal(node.arguments[0]) }
  }
  return null
}

function isLoader(callee: ts.Expression): boolean {
  return callee.kind === ts.SyntaxKind.ImportKeyword || (ts.isIdentifier(callee) && callee.text === 'require')
}

function literal(node: ts.Node | undefined): string | null {
  return node !== undefined && ts.isStringLiteralLike(node) ? node.text : null
}

function membersOf(node: ts.Node): string[] {
  if (ts.isPropertyAccessExpression(node)) return [`${nameOf(node.expression)}.${node.name.text}`]
  if (ts.isElementAccessExpression(node)) {
    return [`${nameOf(node.expression)}.${literal(node.argumentExpression) ?? '*'}`]
  }
  if (ts.isVariableDeclaration(node) && ts.isObjectBindingPattern(node.name) && node.initializer !== undefined) {
    const object = nameOf(node.initializer)
    return node.name.elements.map((element) => `${object}.${nameOf(element.propertyName ?? element.name)}`)
  }
  if (ts.isImportDeclaration(node)) return importedMembers(node)
  const callee = ts.isCallExpression(node) || ts.isNewExpression(node) ? nameOf(node.expression) : ''
  // `new Date()` without arguments is the current time; `Date()` is the current time with any arguments.
  const readsClock = callee === 'Date' && (ts.isCallExpression(node) || !(node as ts.NewExpression).arguments?.length)
  return readsClock ? ['Date.now'] : []
}

/** `import { env } from 'node:process'` reads `process.env`. */
function importedMembers(node: ts.ImportDeclaration): string[] {
  const bindings = node.importClause?.namedBindings
  if (bindings === undefined || !ts.isNamedImports(bindings)) return []
  const object = literal(node.moduleSpecifier)?.replace(/^node:/, '') ?? ''
  return bindings.elements.map((element) => `${object}.${(element.propertyName ?? element.name).text}`)
}

/** Returns the last name of an expression: `process` for `process` and for `globalThis.process`. */
function nameOf(node: ts.Node): string {
  if (ts.isIdentifier(node) || ts.isStringLiteralLike(node)) return node.text
  return ts.isPropertyAccessExpression(node) ? node.name.text : ''
}

function numberOf(node: ts.Node): { name: string; value: number } | null {
  if (ts.isPropertyAssignment(node)) return numberByName(node.name, node.initializer)
  if (ts.isArrayLiteralExpression(node)) return numberByName(node.elements[0], node.elements[1])
  return null
}

function numberByName(name: ts.Node | undefined, value: ts.Node | undefined): { name: string; value: number } | null {
  if (name === undefined || value === undefined || !ts.isNumericLiteral(value)) return null
  return { name: nameOf(name), value: Number(value.text) }
}
