# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# Completion of botlsctl for bash. botlsctl itself knows what may come next.

_botlsctl()
{
	local line=${COMP_LINE:0:COMP_POINT} prefix='' word colons=''
	local -a words

	# Not COMP_WORDS: for readline the colons of an IPv6 address end words.
	read -ra words <<< "$line"
	if [[ $line != *[[:space:]] ]]; then
		prefix=${words[-1]}
		unset 'words[-1]'
	fi
	if [[ $COMP_WORDBREAKS == *:* && $prefix == *:* ]]; then
		colons=${prefix%:*}:
	fi
	COMPREPLY=()
	while IFS= read -r word; do
		if [ "$word" = FILE ]; then
			compopt -o default 2> /dev/null
			return
		fi
		COMPREPLY+=("${word#"$colons"}")
	done < <("${words[0]}" complete "${words[@]:1}" "$prefix" 2> /dev/null)
}

complete -F _botlsctl botlsctl
