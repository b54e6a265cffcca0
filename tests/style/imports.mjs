// SPDX-License-Identifier: Apache-2.0
// What a TypeScript file imports, by the compiler's own parser.
import ts from 'typescript';

import { read } from './lib.mjs';

/**
 * @typedef {object} Import
 * @property {string | undefined} name  undefined when it is computed at run time
 * @property {boolean} typesOnly  gone after compilation
 */

/** @returns {Import[]} */
export function importsOf(path) {
  return importsIn(read(path));
}

/** @returns {Import[]} */
export function importsIn(text) {
  const found = [];
  const visit = (node) => {
    const one = importAt(node);
    if (one !== undefined) found.push(one);
    ts.forEachChild(node, visit);
  };
  visit(ts.createSourceFile('source.ts', text, ts.ScriptTarget.Latest));
  return found;
}

function importAt(node) {
  if (ts.isImportDeclaration(node)) return { name: textOf(node.moduleSpecifier), typesOnly: node.importClause?.isTypeOnly ?? false };
  if (ts.isExportDeclaration(node) && node.moduleSpecifier) return { name: textOf(node.moduleSpecifier), typesOnly: node.isTypeOnly };
  if (ts.isImportTypeNode(node)) return { name: textOf(node.argument.literal), typesOnly: true };
  if (ts.isCallExpression(node) && isLoad(node.expression)) return { name: textOf(node.arguments[0]), typesOnly: false };
  return undefined;
}

function isLoad(called) {
  return called.kind === ts.SyntaxKind.ImportKeyword || (ts.isIdentifier(called) && called.text === 'require');
}

function textOf(node) {
  return node !== undefined && ts.isStringLiteralLike(node) ? node.text : undefined;
}
