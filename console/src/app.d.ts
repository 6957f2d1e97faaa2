declare global {
  namespace App {
    /** What `pushState` keeps of a page: nothing yet. */
    interface PageState {
      readonly _?: never
    }
  }
}

export {}
