// Builds the ready-made server into build/, which then holds everything that the image needs besides node_modules.
import { execFileSync } from 'node:child_process'
import { copyFileSync, cpSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { readArguments } from './arguments.mjs'
import { buildPage } from './build-page.mjs'
import { buildPicker } from './build-picker.mjs'

const ROOT = fileURLToPath(new URL('../', import.meta.url))
const BUILD = join(ROOT, 'build')

readArguments('Usage: npm run build:server\n\nBuilds the server, its page and the picker into build/.')
rmSync(BUILD, { recursive: true, force: true })
const tsc = join(ROOT, 'node_modules/typescript/bin/tsc')
execFileSync(process.execPath, [tsc, '-p', join(ROOT, 'tsconfig.server.json')], { stdio: 'inherit' })
await buildPicker(join(BUILD, 'web/picker'))
await buildPage(join(BUILD, 'web/page'))
cpSync(join(ROOT, 'prisma/migrations'), join(BUILD, 'prisma/migrations'), { recursive: true })
// The server reads its version, and Node the type of the modules.
copyFileSync(join(ROOT, 'package.json'), join(BUILD, 'package.json'))
