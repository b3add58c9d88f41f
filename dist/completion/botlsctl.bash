# SPDX-License-Identifier: Apache-2.0
# Completion of botlsctl for bash. botlsctl itself knows what may come next.

_botlsctl()
{
	local word before=("${COMP_WORDS[@]:1:COMP_CWORD-1}") prefix=${COMP_WORDS[COMP_CWORD]}

	# The colons of an address end a word for readline: the parts of one are put together again.
	if declare -F _get_comp_words_by_ref > /dev/null; then
		local words cword cur
		_get_comp_words_by_ref -n : cur words cword
		before=("${words[@]:1:cword-1}") prefix=$cur
	fi
	COMPREPLY=()
	while IFS= read -r word; do
		if [ "$word" = FILE ]; then
			compopt -o default 2> /dev/null
			return
		fi
		COMPREPLY+=("$word")
	done < <("${COMP_WORDS[0]}" complete "${before[@]}" "$prefix" 2> /dev/null)
	if declare -F __ltrim_colon_completions > /dev/null; then
		__ltrim_colon_completions "$prefix"
	fi
}

complete -F _botlsctl botlsctl
