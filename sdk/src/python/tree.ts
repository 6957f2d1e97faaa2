/** The result of the parser: one entry for each named node, parents before children. */
export interface TreeData {
  readonly text: string
  /** The names of types and fields by their numbers. Field 0 means no field. */
  readonly typeNames: readonly string[]
  readonly fieldNames: readonly (string | null)[]
  readonly fieldNumbers: ReadonlyMap<string | null, number>
  readonly types: Uint16Array
  readonly fields: Uint8Array
  /** Offsets in UTF-16 code units. */
  readonly starts: Uint32Array
  readonly ends: Uint32Array
  /** The index of the parent; -1 for the root. */
  readonly parents: Int32Array
  /** The index after the last node inside this node. */
  readonly nexts: Uint32Array
  readonly depth: number
  readonly hasError: boolean
}

/**
 * The syntax tree of a file. Nodes are entries in typed arrays, because a file may have 100,000 nodes: as objects,
 * their creation and collection would take most of the time of a check. A node becomes an object on first access, and
 * the object is kept.
 */
export class SyntaxTree {
  readonly data: TreeData
  readonly text: string
  readonly depth: number
  readonly hasError: boolean
  /** The number of nodes. */
  readonly size: number
  readonly #nodes: (PyNode | undefined)[]

  constructor(data: TreeData) {
    this.data = data
    this.text = data.text
    this.depth = data.depth
    this.hasError = data.hasError
    this.size = data.types.length
    this.#nodes = []
    this.#nodes.length = this.size
  }

  node(index: number): PyNode {
    return (this.#nodes[index] ??= new PyNode(this, index))
  }

  parentOf(index: number): number {
    return this.data.parents[index] ?? -1
  }

  typeAt(index: number): string {
    return this.data.typeNames[this.data.types[index] ?? 0] ?? ''
  }

  fieldAt(index: number): string | null {
    return this.data.fieldNames[this.data.fields[index] ?? 0] ?? null
  }

  /**
   * Nodes of these types, parents before children. Rules use this loop instead of recursion, so that no nesting can
   * overflow the stack.
   */
  *ofType(...types: readonly string[]): Generator<PyNode, undefined> {
    const isWanted = this.byType((name) => types.includes(name))
    const all = this.data.types
    for (let index = 0; index < this.size; index++) if (isWanted[all[index] ?? 0]) yield this.node(index)
  }

  /** An array with a value for each type, indexed by the type's number. */
  byType<T>(valueOf: (name: string) => T): T[] {
    return this.data.typeNames.map(valueOf)
  }

  /** The number of nodes whose type matches. */
  count(fits: (name: string) => boolean): number {
    const isCounted = this.byType(fits)
    let count = 0
    for (const type of this.data.types) if (isCounted[type]) count += 1
    return count
  }
}

/** A named node of the syntax tree. */
export class PyNode {
  readonly tree: SyntaxTree
  /** The index in the tree's arrays. Parents come before children. */
  readonly index: number
  #children: readonly PyNode[] | undefined

  constructor(tree: SyntaxTree, index: number) {
    this.tree = tree
    this.index = index
  }

  get type(): string {
    return this.tree.typeAt(this.index)
  }

  /** The field of the parent, such as `left` or `body`. */
  get field(): string | null {
    return this.tree.fieldAt(this.index)
  }

  get start(): number {
    return this.tree.data.starts[this.index] ?? 0
  }

  get end(): number {
    return this.tree.data.ends[this.index] ?? 0
  }

  get parent(): PyNode | null {
    const parent = this.tree.parentOf(this.index)
    return parent < 0 ? null : this.tree.node(parent)
  }

  get children(): readonly PyNode[] {
    return (this.#children ??= [...childrenOf(this)])
  }

  /** The first child in this field. */
  child(field: string): PyNode | undefined {
    const { fieldNumbers, fields, nexts } = this.tree.data
    const wanted = fieldNumbers.get(field)
    const end = nexts[this.index] ?? 0
    for (let at = this.index + 1; at < end; at = nexts[at] ?? end)
      if (fields[at] === wanted) return this.tree.node(at)
    return undefined
  }
}

function* childrenOf({ tree, index }: PyNode): Generator<PyNode, undefined> {
  const { nexts } = tree.data
  const end = nexts[index] ?? 0
  for (let at = index + 1; at < end; at = nexts[at] ?? end) yield tree.node(at)
}

/** Collects the nodes of a tree in growing arrays. */
export class TreeGrower {
  #types = new Uint16Array(INITIAL)
  #fields = new Uint8Array(INITIAL)
  #starts = new Uint32Array(INITIAL)
  #ends = new Uint32Array(INITIAL)
  #parents = new Int32Array(INITIAL)
  #nexts = new Uint32Array(INITIAL)
  size = 0

  /** Returns the node's index. */
  add(type: number, field: number, start: number, end: number, parent: number): number {
    const at = this.size++
    if (at === this.#types.length) this.#grow()
    this.#types[at] = type
    this.#fields[at] = field
    this.#starts[at] = start
    this.#ends[at] = end
    this.#parents[at] = parent
    this.#nexts[at] = this.size
    return at
  }

  /** Ends a node: all nodes added since are inside it. */
  close(at: number): void {
    this.#nexts[at] = this.size
  }

  parentOf(at: number): number {
    return this.#parents[at] ?? -1
  }

  /** Returns the arrays in their final length. The instance can then be used for the next tree. */
  take(): Pick<TreeData, 'types' | 'fields' | 'starts' | 'ends' | 'parents' | 'nexts'> {
    const { size } = this
    this.size = 0
    return {
      types: this.#types.slice(0, size),
      fields: this.#fields.slice(0, size),
      starts: this.#starts.slice(0, size),
      ends: this.#ends.slice(0, size),
      parents: this.#parents.slice(0, size),
      nexts: this.#nexts.slice(0, size),
    }
  }

  #grow(): void {
    const length = this.#types.length * 2
    const grown = <T extends { set(from: T): void }>(into: T, from: T): T => {
      into.set(from)
      return into
    }
    this.#types = grown(new Uint16Array(length), this.#types)
    this.#fields = grown(new Uint8Array(length), this.#fields)
    this.#starts = grown(new Uint32Array(length), this.#starts)
    this.#ends = grown(new Uint32Array(length), this.#ends)
    this.#parents = grown(new Int32Array(length), this.#parents)
    this.#nexts = grown(new Uint32Array(length), this.#nexts)
  }
}

const INITIAL = 16_384
