import type { AppStatus } from '@fp/sdk/wire'
import CircleAlert from '@lucide/svelte/icons/circle-alert'
import CircleCheck from '@lucide/svelte/icons/circle-check'
import CircleDashed from '@lucide/svelte/icons/circle-dashed'
import LoaderCircle from '@lucide/svelte/icons/loader-circle'
import Moon from '@lucide/svelte/icons/moon'
import Sunrise from '@lucide/svelte/icons/sunrise'

interface Look {
  word: string
  icon: typeof Moon
  tone: string
  motion: string
  meaning: string
}

/** How each status is shown everywhere: by a word, an icon and a colour, so that nobody depends on the colour. */
export const STATUS_LOOKS: Record<AppStatus, Look> = {
  draft: {
    word: 'Draft',
    icon: CircleDashed,
    tone: 'text-grey bg-grey-soft',
    motion: '',
    meaning: 'Not deployed yet',
  },
  deploying: {
    word: 'Deploying',
    icon: LoaderCircle,
    tone: 'text-blue bg-blue-soft',
    motion: 'animate-spin',
    meaning: 'A new version is being made live',
  },
  running: {
    word: 'Running',
    icon: CircleCheck,
    tone: 'text-green bg-green-soft',
    motion: '',
    meaning: 'Awake and answering',
  },
  sleeping: {
    word: 'Sleeping',
    icon: Moon,
    tone: 'text-indigo bg-indigo-soft',
    motion: '',
    meaning: '0 MB, wakes on the next request',
  },
  waking: {
    word: 'Waking',
    icon: Sunrise,
    tone: 'text-amber bg-amber-soft',
    motion: 'animate-breathe',
    meaning: 'A request arrived, and the app is starting',
  },
  error: {
    word: 'Error',
    icon: CircleAlert,
    tone: 'text-red bg-red-soft',
    motion: '',
    meaning: 'The app ended or did not start; the next request tries again',
  },
}
